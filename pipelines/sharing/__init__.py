"""Handing a store on: to a folder, a bucket or a web server, and back.

A file of a store is named by its content, so that only what is missing travels, and the manifest
travels last, so that the other side shows a whole store or none. Neither side is trusted: what
arrives is compared with the manifest, byte by byte.
"""
