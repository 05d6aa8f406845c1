// In the place of the theme's script, which draws its icons once more as SVG and weighs 1.5 MB: they are in the
// theme's own font, which every page loads anyway, and show without scripts too.
