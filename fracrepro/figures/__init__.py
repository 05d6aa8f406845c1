"""The look of figures and tables, and every figure that more than one page draws."""
