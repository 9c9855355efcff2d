"""The command line: arguments → session → JSON, tables and exit codes.

``main`` builds the program and turns errors into exit codes; one module a group of commands.
Nothing is computed here.
"""
