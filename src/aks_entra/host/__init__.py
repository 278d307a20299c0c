"""The machine that this program runs on: whose files it may believe, and what it leaves there. It knows no Azure."""
