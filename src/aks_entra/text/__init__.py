"""Text that strangers wrote, made safe for what shows it. It knows nothing but the standard library."""
