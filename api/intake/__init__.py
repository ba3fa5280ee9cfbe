"""What a request may hold and cost, and how it is refused."""
