"""What handing over costs, beside what one would write by hand with the same libraries."""
