"""What ``stembridge doctor`` looks at: settings, accounts, tools, and a separation tried out."""
