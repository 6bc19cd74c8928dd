"""What people look at: previews of the training stream, statistics of links and datasets, figures."""
