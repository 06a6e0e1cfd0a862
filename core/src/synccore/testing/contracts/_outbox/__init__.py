"""The rules of the outbox, part by part; `StoreContract` is all of them."""
