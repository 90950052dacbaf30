"""What every concept needs: months, money, ratios, statistics, the base class of tables, encoding, errors.

Here: nothing that knows of Stripe, prices or customers.
"""
