"""Figures that a reader operates, on static pages: a directive, and the tables that the build computes.

A figure is a script of ``book/_static/interactive`` that builds itself from native inputs and redraws when
one changes; its page loads that script, what it shares with others, and its tables, and nothing else.
"""
