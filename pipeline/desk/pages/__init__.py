"""Page objects: everything a template shows, typed and frozen, one module a page.

A page object holds finished words and numbers; a template only places them. A report shows the same
objects, so that page and report cannot differ.
"""
