# cmake --install, and the Debian package (CPack; ./dev package).
include(GNUInstallDirs)
set(name product-change-service)
set(PCS_PACKAGE_VERSION ${PROJECT_VERSION} CACHE STRING "Version of the Debian package")

install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY sql/ DESTINATION ${CMAKE_INSTALL_DATADIR}/${name}/sql FILES_MATCHING PATTERN "*.sql")
install(FILES README.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs FILES_MATCHING PATTERN "*.md")
install(FILES packaging/operator/operator.sh DESTINATION ${CMAKE_INSTALL_DATADIR}/${name})
install(FILES packaging/bash-completion/${name} DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)

# The unit names the program where it is installed; the example names no carrier: a start without one is refused.
set(made ${CMAKE_BINARY_DIR}/packaging)
file(READ packaging/systemd/${name}.service unit)
string(REPLACE "/usr/bin/" "${CMAKE_INSTALL_FULL_BINDIR}/" unit "${unit}")
string(REPLACE "/usr/share/" "${CMAKE_INSTALL_FULL_DATADIR}/" unit "${unit}")
string(REPLACE "/etc/" "${CMAKE_INSTALL_FULL_SYSCONFDIR}/" unit "${unit}")
file(WRITE ${made}/${name}.service "${unit}")
file(READ config/${name}.yaml example)
string(REGEX REPLACE "\n  base_url: [^\n]*" "\n  #base_url:" example "${example}")
file(WRITE ${made}/${name}.yaml "${example}")
install(FILES ${made}/${name}.service DESTINATION lib/systemd/system)
install(FILES packaging/systemd/${name}.sysusers DESTINATION lib/sysusers.d RENAME ${name}.conf)
install(FILES ${made}/${name}.yaml DESTINATION ${CMAKE_INSTALL_FULL_SYSCONFDIR}/${name})

# The manual; the page of the settings is made from the program.
add_custom_command(OUTPUT ${made}/${name}.yaml.5 DEPENDS ${name} ${CMAKE_SOURCE_DIR}/packaging/man/yaml5.sh
                   COMMAND ${CMAKE_COMMAND} -E env ASAN_OPTIONS=detect_leaks=0 ${CMAKE_SOURCE_DIR}/packaging/man/yaml5.sh
                           $<TARGET_FILE:${name}> > ${made}/${name}.yaml.5)
# Packed without a time, so that the same sources make the same package.
add_custom_command(OUTPUT ${made}/${name}.8.gz ${made}/${name}.yaml.5.gz
                   DEPENDS ${made}/${name}.yaml.5 ${CMAKE_SOURCE_DIR}/packaging/man/${name}.8
                   COMMAND gzip -9nc ${CMAKE_SOURCE_DIR}/packaging/man/${name}.8 > ${made}/${name}.8.gz
                   COMMAND gzip -9nc ${made}/${name}.yaml.5 > ${made}/${name}.yaml.5.gz)
add_custom_target(manual ALL DEPENDS ${made}/${name}.yaml.5 ${made}/${name}.8.gz)
install(FILES ${made}/${name}.8.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man8)
install(FILES ${made}/${name}.yaml.5.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man5)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME ${name})
set(CPACK_PACKAGE_VERSION ${PCS_PACKAGE_VERSION})
set(PCS_PACKAGE_CONTACT "product-change-service <root@localhost>" CACHE STRING "Maintainer of the Debian package")
set(CPACK_PACKAGE_CONTACT ${PCS_PACKAGE_CONTACT})
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Customers of an MVNO change their plan")
set(CPACK_PACKAGE_DESCRIPTION "A daemon that serves the change of plan: orders from the carrier on a\ndurable journal, cache in Redis, history in PostgreSQL, events to the\noperator's application server.")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "adduser, ca-certificates")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "redis-server, postgresql, nginx-light, sqlite3, jq")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${CMAKE_SOURCE_DIR}/packaging/debian/postinst ${CMAKE_SOURCE_DIR}/packaging/debian/prerm
    ${CMAKE_SOURCE_DIR}/packaging/debian/postrm ${CMAKE_SOURCE_DIR}/packaging/debian/conffiles)
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_BINARY_DIR})
include(CPack)
