"""From core's entities to profiles and events: what is mapped unless a route says otherwise, and filters."""
