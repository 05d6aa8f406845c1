"""Small experiments on claims of other papers, one module a paper; page 17 calls them.

They are here to be read and tested beside the page, and are no interface that later versions keep.
A demonstration shows one instance of a claim; it proves no rate.
"""
