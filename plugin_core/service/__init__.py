"""What clients of services share: the pace of looking at jobs, results brought home."""
