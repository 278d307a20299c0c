import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;

/** Signs in with a client secret, and prints the answer of ARM to a list of clusters. */
public class Main {
  private static final HttpClient CLIENT = HttpClient.newHttpClient();

  public static void main(String[] arguments) throws Exception {
    var form = "grant_type=client_credentials&scope=https%3A%2F%2Fmanagement.azure.com%2F.default&client_id="
        + System.getenv("AZURE_CLIENT_ID") + "&client_secret=" + System.getenv("AZURE_CLIENT_SECRET");
    var tokens = "https://login.microsoftonline.com/" + System.getenv("AZURE_TENANT_ID") + "/oauth2/v2.0/token";
    var signedIn = sent(HttpRequest.newBuilder(URI.create(tokens))
        .header("Content-Type", "application/x-www-form-urlencoded").POST(BodyPublishers.ofString(form)));
    var token = signedIn.replaceFirst(".*\"access_token\": ?\"([^\"]+)\".*", "$1");
    var clusters = "https://management.azure.com/subscriptions/" + System.getenv("AZURE_SUBSCRIPTION_ID")
        + "/providers/Microsoft.ContainerService/managedClusters?api-version=2025-10-01";
    System.out.println(sent(HttpRequest.newBuilder(URI.create(clusters)).header("Authorization", "Bearer " + token)));
  }

  private static String sent(HttpRequest.Builder request) throws Exception {
    return CLIENT.send(request.build(), BodyHandlers.ofString()).body();
  }
}
