# A cluster with Microsoft Entra ID, and who may use it. The variables say how far its owner has come.
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

resource "azurerm_kubernetes_cluster" "pay" {
  name                   = "pay-01"
  location               = azurerm_resource_group.pay.location
  resource_group_name    = azurerm_resource_group.pay.name
  dns_prefix             = "pay-01"
  local_account_disabled = var.local_account_disabled

  default_node_pool {
    name       = "system"
    node_count = 2
    vm_size    = "Standard_D4s_v5"
    upgrade_settings {
      max_surge = "10%"
    }
  }

  node_provisioning_profile {
    mode = "Manual"
  }

  identity {
    type = "SystemAssigned"
  }

  dynamic "azure_active_directory_role_based_access_control" {
    for_each = var.entra ? [var.admin_group] : []
    content {
      admin_group_object_ids = [azure_active_directory_role_based_access_control.value]
      azure_rbac_enabled     = false
    }
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
