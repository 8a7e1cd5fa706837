# The image that docker-compose.yml runs: the static program and a file to share. make image prepares bin/image and builds it;
# nothing is pulled.
FROM scratch
ENV SHOAL_HOME=/data/home
EXPOSE 4747/tcp 4747/udp
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["shoal", "status"]
ENTRYPOINT ["shoal"]
CMD ["serve"]
USER 4747:4747
COPY bin/image/bin /bin
COPY bin/image/share /share
# A volume that is mounted here for the first time takes the owner of this directory.
COPY --chown=4747:4747 bin/image/data /data
VOLUME /data
WORKDIR /data
