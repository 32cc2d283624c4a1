"""What clients of services share: patience with unclear answers, times that outlive a crash, results brought home."""
