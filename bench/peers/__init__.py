"""What others would write in an afternoon, and write well: the services that ours is measured against."""
