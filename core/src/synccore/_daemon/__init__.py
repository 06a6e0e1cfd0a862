"""The daemon and everything an operator does to it: the composition root of synccore."""
