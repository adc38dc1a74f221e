"""A simulated shop with a known truth: customers whose hidden response to treatment the product has to find out.

Pure: a day is a function of the configuration, the seed and what customers were sent before. Everything that it makes
is simulated and says so.
"""
