"""`m3ter-sync demo`: two syncs of a local m3ter, and the answers to the two questions."""

import click
from m3ter_sync.cli.program import Command


@click.command(cls=Command)
def demo():
    """x"""
