"""Import existing clusters from the output of Azure and Microsoft Graph, to rehearse a change on them."""
