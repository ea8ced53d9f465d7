"""What stands between a microscope and a predictor: the station file, and the files that microscopes write."""
