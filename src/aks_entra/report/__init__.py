"""Evidence for people and machines: JSON first, everything else from it. Pure: values in, text or tables out."""
