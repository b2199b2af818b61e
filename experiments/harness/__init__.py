"""What all experiments share: run folders, trainings in them, the command line, and runs beside each other."""
