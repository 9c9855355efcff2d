"""The desktop: windows and views that call irplan.session and nothing deeper."""
