"""How a watch is shown: in plain lines, as JSON, or live on a terminal."""
