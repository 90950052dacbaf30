"""Speed and memory, measured: `make bench`, or `python -m expansion_platform_tests.benchmarks month`. Not
collected by pytest.
"""
