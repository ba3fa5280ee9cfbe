"""From a judged model of either recipe to a bundle."""
