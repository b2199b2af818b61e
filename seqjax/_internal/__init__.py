"""What all rooms need and no user imports: validation, trees, files, spelling."""
