"""dose"""
