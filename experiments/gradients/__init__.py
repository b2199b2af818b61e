"""The parts of the experiment on gradient norms: texts and digits, measurements, layers, tables and figures."""
