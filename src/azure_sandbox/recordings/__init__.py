"""Recordings of exchanges with the real Azure: how one is made, scrubbed and replayed.

A recording is a JSON list of exchanges in order: method, url, request, status, headers, response.
"""
