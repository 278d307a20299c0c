"""Azure Resource Manager (ARM), as far as clusters need it. It knows no wire format of Entra or Graph."""
