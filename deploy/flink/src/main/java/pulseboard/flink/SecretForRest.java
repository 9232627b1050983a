package pulseboard.flink;

import java.util.Map;
import java.util.Optional;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.io.network.netty.InboundChannelHandlerFactory;
import org.apache.flink.shaded.netty4.io.netty.channel.ChannelFutureListener;
import org.apache.flink.shaded.netty4.io.netty.channel.ChannelHandler;
import org.apache.flink.shaded.netty4.io.netty.channel.ChannelHandlerContext;
import org.apache.flink.shaded.netty4.io.netty.channel.ChannelInboundHandlerAdapter;
import org.apache.flink.shaded.netty4.io.netty.handler.codec.http.DefaultFullHttpResponse;
import org.apache.flink.shaded.netty4.io.netty.handler.codec.http.HttpHeaderNames;
import org.apache.flink.shaded.netty4.io.netty.handler.codec.http.HttpRequest;
import org.apache.flink.shaded.netty4.io.netty.handler.codec.http.HttpResponseStatus;
import org.apache.flink.shaded.netty4.io.netty.handler.codec.http.HttpServerCodec;
import org.apache.flink.shaded.netty4.io.netty.handler.codec.http.HttpVersion;
import org.apache.flink.shaded.netty4.io.netty.util.ReferenceCountUtil;

/**
 * Makes Flink's REST API ask for the secret, where there is one: it takes jobs, and each is a
 * program. Flink finds this class by META-INF/services.
 */
public final class SecretForRest implements InboundChannelHandlerFactory {
  @Override
  public int priority() {
    return 0;
  }

  @Override
  public Optional<ChannelHandler> createHandler(Configuration configuration, Map<String, String> headers) {
    return System.getenv(Secret.VARIABLE) == null ? Optional.empty() : Optional.of(new First());
  }

  /** Takes the place right behind the codec: Flink's own handlers would store uploads before. */
  private static final class First extends ChannelInboundHandlerAdapter {
    @Override
    public void handlerAdded(ChannelHandlerContext context) {
      String codec = context.pipeline().context(HttpServerCodec.class).name();
      context.pipeline().addAfter(codec, null, new Check());
      context.pipeline().remove(this);
    }
  }

  private static final class Check extends ChannelInboundHandlerAdapter {
    private final Secret secret = Secret.ofEnvironment();
    private boolean refused;

    @Override
    public void channelRead(ChannelHandlerContext context, Object message) {
      if (message instanceof HttpRequest && !secret.is(((HttpRequest) message).headers().get(HttpHeaderNames.AUTHORIZATION))) {
        refused = true;
        var answer = new DefaultFullHttpResponse(HttpVersion.HTTP_1_1, HttpResponseStatus.UNAUTHORIZED);
        answer.headers().set(HttpHeaderNames.CONTENT_LENGTH, 0).set(HttpHeaderNames.CONNECTION, "close");
        context.writeAndFlush(answer).addListener(ChannelFutureListener.CLOSE);
      }
      if (refused) {
        ReferenceCountUtil.release(message);
        return;
      }
      context.fireChannelRead(message);
    }
  }
}
