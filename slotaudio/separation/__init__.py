"""From estimates to sources: masks, windows, joining, and the `Separator` on top of them."""
