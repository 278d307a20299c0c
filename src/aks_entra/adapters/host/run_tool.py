"""Runs a command line tool of this machine and reads what it prints."""

from __future__ import annotations

import asyncio


async def run_tool(program: str, *arguments: str, seconds: float) -> str | None:
    """Run a program without input and return its standard output. Bytes that are not UTF-8 are replaced.

    Args:
        program: the path of the program.
        arguments: its arguments.
        seconds: how long it may take; after that the program is killed.

    Returns:
        What the program printed, whatever its exit code. None means that it could not be started or took too long.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return None
    try:
        async with asyncio.timeout(seconds):
            printed, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return None
    return printed.decode("utf-8", "replace")
