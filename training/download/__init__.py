"""Gets real data: the Kaggle set of 2018, and the published fields of the Human Protein Atlas."""
