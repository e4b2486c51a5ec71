"""Select statements of the desk, one module a page; nothing here runs them."""
