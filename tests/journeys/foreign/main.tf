# A cluster with Microsoft Entra ID, what it needs around it, and who may use it. The variables say how far its owner has
# come.
terraform {
  required_providers {
    azurerm = { source = "hashicorp/azurerm" }
  }
}

provider "azurerm" {
  features {}
}

variable "admin_group" { type = string }
variable "readers" { type = string }
variable "entra" { type = bool }
variable "local_account_disabled" { type = bool }

resource "azurerm_resource_group" "pay" {
  name     = "pay-weu"
  location = "westeurope"
}

resource "azurerm_virtual_network" "pay" {
  name                = "pay"
  location            = azurerm_resource_group.pay.location
  resource_group_name = azurerm_resource_group.pay.name
  address_space       = ["10.20.0.0/16"]
}

resource "azurerm_subnet" "nodes" {
  name                 = "nodes"
  resource_group_name  = azurerm_resource_group.pay.name
  virtual_network_name = azurerm_virtual_network.pay.name
  address_prefixes     = ["10.20.0.0/22"]
}

resource "azurerm_log_analytics_workspace" "logs" {
  name                = "pay-logs"
  location            = azurerm_resource_group.pay.location
  resource_group_name = azurerm_resource_group.pay.name
  sku                 = "PerGB2018"
}

resource "azurerm_user_assigned_identity" "pay" {
  name                = "pay"
  location            = azurerm_resource_group.pay.location
  resource_group_name = azurerm_resource_group.pay.name
}

resource "azurerm_role_assignment" "network" {
  scope                = azurerm_virtual_network.pay.id
  role_definition_name = "Network Contributor"
  principal_id         = azurerm_user_assigned_identity.pay.principal_id
}

resource "azurerm_kubernetes_cluster" "pay" {
  name                   = "pay-01"
  location               = azurerm_resource_group.pay.location
  resource_group_name    = azurerm_resource_group.pay.name
  dns_prefix             = "pay-01"
  local_account_disabled = var.local_account_disabled

  default_node_pool {
    name           = "system"
    node_count     = 2
    vm_size        = "Standard_D4s_v5"
    vnet_subnet_id = azurerm_subnet.nodes.id
    upgrade_settings {
      max_surge = "10%"
    }
  }

  node_provisioning_profile {
    mode = "Manual"
  }

  network_profile {
    network_plugin      = "azure"
    network_plugin_mode = "overlay"
  }

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.pay.id]
  }

  dynamic "azure_active_directory_role_based_access_control" {
    for_each = var.entra ? [var.admin_group] : []
    content {
      admin_group_object_ids = [azure_active_directory_role_based_access_control.value]
      azure_rbac_enabled     = false
    }
  }

  depends_on = [azurerm_role_assignment.network]
}

resource "azurerm_kubernetes_cluster_node_pool" "work" {
  name                  = "work"
  kubernetes_cluster_id = azurerm_kubernetes_cluster.pay.id
  vm_size               = "Standard_D4s_v5"
  node_count            = 1
  vnet_subnet_id        = azurerm_subnet.nodes.id

  upgrade_settings {
    max_surge = "10%"
  }
}

resource "azurerm_role_assignment" "cluster_user" {
  scope                = azurerm_kubernetes_cluster.pay.id
  role_definition_name = "Azure Kubernetes Service Cluster User Role"
  principal_id         = var.readers
  principal_type       = "Group"
}

resource "azurerm_role_assignment" "namespace_reader" {
  scope                = "${azurerm_kubernetes_cluster.pay.id}/namespaces/shop"
  role_definition_name = "Azure Kubernetes Service RBAC Reader"
  principal_id         = var.readers
  principal_type       = "Group"
}
