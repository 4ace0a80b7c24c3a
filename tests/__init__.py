"""A package, because ascmhl, which the tests use, carries one called tests as well that must not be taken for ours."""
