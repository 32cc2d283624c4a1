"""What people and programs see of a run: live, plain or JSON."""
