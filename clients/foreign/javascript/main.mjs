// Moves a cluster to Microsoft Entra ID with Azure's SDK for JavaScript, and prints what each step answered as JSON.
import { ContainerServiceClient } from "@azure/arm-containerservice";
import { AuthorizationManagementClient } from "@azure/arm-authorization";
import { DefaultAzureCredential } from "@azure/identity";

const [group, name, adminGroup, assignee] = process.argv.slice(2);
const CLUSTER_USER = "4abbcc35-e782-43d8-92c5-2d3f1bd2253f";
const NAMESPACE_READER = "7f6c6a51-bcf8-42ba-9220-52d62157d7db";
const subscription = process.env.AZURE_SUBSCRIPTION_ID;
const credential = new DefaultAzureCredential();
const clusters = new ContainerServiceClient(credential, subscription).managedClusters;
const assignments = new AuthorizationManagementClient(credential, subscription).roleAssignments;

async function refusalOf(request) {
  try {
    await request;
  } catch (error) {
    return { status: error.statusCode, code: error.code, message: error.message };
  }
  return null;
}

async function change(edit) {
  const cluster = await clusters.get(group, name);
  edit(cluster);
  return clusters.createOrUpdate(group, name, cluster);
}

const found = {};
found.listed = [];
for await (const cluster of clusters.list()) found.listed.push(cluster.name);
found.withoutEntra = await refusalOf(change((it) => (it.disableLocalAccounts = true)));
const entra = { managed: true, enableAzureRbac: true, adminGroupObjectIDs: [adminGroup] };
found.aadProfile = (await change((it) => (it.aadProfile = entra))).aadProfile;
found.disableLocalAccounts = (await change((it) => (it.disableLocalAccounts = true))).disableLocalAccounts;
found.adminCredentials = await refusalOf(clusters.listClusterAdminCredentials(group, name));
await clusters.rotateClusterCertificates(group, name);
const { id, provisioningState } = await clusters.get(group, name);
found.afterRotation = provisioningState;
const user = await clusters.listClusterUserCredentials(group, name, { format: "exec" });
found.kubelogin = new TextDecoder().decode(user.kubeconfigs[0].value).includes("kubelogin");
found.roles = [];
for (const [scope, role] of [[id, CLUSTER_USER], [`${id}/namespaces/shop`, NAMESPACE_READER]]) {
  const roleDefinitionId = `/subscriptions/${subscription}/providers/Microsoft.Authorization/roleDefinitions/${role}`;
  const properties = { roleDefinitionId, principalId: assignee, principalType: "Group" };
  const made = await assignments.create(scope, crypto.randomUUID(), properties);
  found.roles.push(made.scope ?? made.properties?.scope);
}
console.log(JSON.stringify(found));
