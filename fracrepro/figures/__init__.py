"""One style for plots and tables, and the plots that several pages share."""
