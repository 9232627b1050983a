package pulseboard.flink;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.security.MessageDigest;
import org.apache.beam.vendor.grpc.v1p60p1.io.grpc.Metadata;
import org.apache.beam.vendor.grpc.v1p60p1.io.grpc.ServerCall;
import org.apache.beam.vendor.grpc.v1p60p1.io.grpc.ServerCallHandler;
import org.apache.beam.vendor.grpc.v1p60p1.io.grpc.ServerInterceptor;
import org.apache.beam.vendor.grpc.v1p60p1.io.grpc.Status;

/** What tells our own program from those of other users of the machine. */
final class Secret {
  /** Set by pipeline/runners/flink, which makes a new one at each start. */
  static final String VARIABLE = "PULSEBOARD_FLINK_SECRET";

  private static final Metadata.Key<String> HEADER = Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  private final byte[] want;

  private Secret(String value) {
    want = ("Bearer " + value).getBytes(UTF_8);
  }

  static Secret ofEnvironment() {
    String value = System.getenv(VARIABLE);
    if (value == null || value.isEmpty()) {
      throw new IllegalStateException(VARIABLE + " is not set: pulseboard run and pipeline flink-local set it");
    }
    return new Secret(value);
  }

  boolean is(String header) {
    return header != null && MessageDigest.isEqual(want, header.getBytes(UTF_8));
  }

  /** Refuses calls without it. */
  ServerInterceptor interceptor() {
    return new ServerInterceptor() {
      @Override
      public <Q, A> ServerCall.Listener<Q> interceptCall(ServerCall<Q, A> call, Metadata headers, ServerCallHandler<Q, A> next) {
        if (is(headers.get(HEADER))) {
          return next.startCall(call, headers);
        }
        call.close(Status.UNAUTHENTICATED.withDescription("this server is another user's"), new Metadata());
        return new ServerCall.Listener<Q>() {};
      }
    };
  }
}
