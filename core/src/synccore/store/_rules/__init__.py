"""The rules of the outbox, one a module, over a transaction of any engine; the roles call them."""
