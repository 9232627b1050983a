package pulseboard.flink;

import java.io.IOException;
import java.lang.reflect.Field;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.util.List;
import org.apache.beam.runners.flink.FlinkJobServerDriver;
import org.apache.beam.vendor.grpc.v1p60p1.io.grpc.InternalGlobalInterceptors;

/**
 * Beam's job server with a Flink of its own in this process, for one machine and one user:
 *
 * <ul>
 *   <li>Whoever listens on all addresses listens on loopback instead: Beam has no option for the
 *       addresses of its servers, of which there are up to eight.
 *   <li>Each gRPC server, and Flink's REST API, asks for a secret, which is in the environment of
 *       this process and so in that of the workers that it starts.
 * </ul>
 *
 * Why, and what is left open: docs/adr/0014-flink-for-one-user.md.
 */
public final class OneMachine {
  private OneMachine() {}

  public static void main(String[] args) throws Exception {
    stayOnLoopback();
    Secret secret = Secret.ofEnvironment();
    InternalGlobalInterceptors.setInterceptorsTracers(List.of(), List.of(secret.interceptor()), List.of());
    FlinkJobServerDriver.main(args);
  }

  /**
   * Makes 127.0.0.1 the address that Java takes for "any". Java keeps it in a field that this needs
   * --add-opens=java.base/java.net=ALL-UNNAMED for; 11, 17 and 21 have the same one.
   */
  private static void stayOnLoopback() throws IOException, ReflectiveOperationException {
    Field implementation = InetAddress.class.getDeclaredField("impl");
    implementation.setAccessible(true);
    Object impl = implementation.get(null);
    Field any = impl.getClass().getDeclaredField("anyLocalAddress");
    any.setAccessible(true);
    any.set(impl, InetAddress.getByAddress("localhost", new byte[] {127, 0, 0, 1}));
    try (ServerSocket socket = new ServerSocket()) {
      socket.bind(new InetSocketAddress(0));
      if (!socket.getInetAddress().isLoopbackAddress()) {
        throw new IOException("this Java listens on " + socket.getInetAddress() + " in place of loopback; install Java 11, 17 or 21");
      }
    }
  }
}
