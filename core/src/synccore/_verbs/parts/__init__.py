"""What several verbs need and nobody asks for by itself: the words of an answer, and what is looked at to find it."""
