"""The coach's desk: pages and playback over a store. It reads results and never runs a model.

Conventions
-----------
A request takes one way: ``routes`` parse the address, ``queries`` are select statements, ``pages``
turn rows and results into a frozen page object that holds all a template shows, and the template
writes it. Every read of the store goes through :class:`pipeline.desk.scope.Scope`; every play and
every change through :mod:`pipeline.desk.audit`. Nothing here takes HTML from data, and no page asks
another host for anything.

Parts: ``app`` (the application, headers, errors), ``server`` (``callcoach serve``), ``view`` (what a
request brings: language, theme, scope), ``words`` (texts and numbers in two languages), ``scope``,
``audit``, ``playback``; ``routes``, ``queries``, ``pages``, ``templates``, ``static``, ``texts``.
"""
